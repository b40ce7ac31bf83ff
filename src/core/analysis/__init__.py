"""What blocks say: in which volumes they are and how they depend on each other."""

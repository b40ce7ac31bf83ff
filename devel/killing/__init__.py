"""What ``devel/kills.py`` kills, and how."""

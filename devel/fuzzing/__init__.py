"""What ``devel/fuzz.py`` changes in good files, and the readers that it gives them to."""

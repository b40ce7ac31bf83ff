"""Names of the devices on which core computes."""

CPU = "cpu"
DEVICES = (CPU, "cuda", "mps", "auto")

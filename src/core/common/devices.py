"""Names of the compute devices."""

CPU = "cpu"
DEVICES = (CPU, "cuda", "mps", "auto")

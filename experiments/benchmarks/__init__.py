"""Time against plain PyTorch on the same machine, in the same run, with the same maths."""

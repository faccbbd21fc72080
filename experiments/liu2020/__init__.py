"""Liu, Yi, Chen 2020, claim by claim."""

"""Does the simulator reproduce what the paper and its authors' code say about MNIST?"""

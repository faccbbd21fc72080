"""The folder of a sweep: what is planned, what is finished, and what is needed to go on."""

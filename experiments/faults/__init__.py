"""What becomes of damaged and odd input, a hundred thousand times: a clear refusal, or a right result."""

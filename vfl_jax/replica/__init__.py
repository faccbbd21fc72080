"""One replica, pure: its draws, its initial state, a step, an epoch, inference and what is measured."""

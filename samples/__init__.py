"""A simulated company that writes realistic extracts with a known truth."""

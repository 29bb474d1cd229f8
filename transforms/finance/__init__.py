"""Finance facts: journal, budget, and the two side by side."""

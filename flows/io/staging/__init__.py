"""The parts of staging: raw files to typed raw tables, through the mapping SELECT, to checked rows."""

"""What several domains need: keys, units, currencies, calendars, history."""

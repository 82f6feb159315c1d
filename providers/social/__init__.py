"""Where people follow, watch, talk and give."""

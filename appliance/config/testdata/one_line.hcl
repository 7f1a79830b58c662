# A block on one line needs a space between its items.
log {level = "info",format = "json"}

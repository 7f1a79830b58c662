# Nor is this one.
hostname = "localhost"

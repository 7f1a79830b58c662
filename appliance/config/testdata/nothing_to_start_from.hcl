# No host name, no directory; capture mode without a relay that captures.
mode = "capture"

# The address of the relay that keeps everything is taken.
mode = "capture"
relay "mx" "captured" {}

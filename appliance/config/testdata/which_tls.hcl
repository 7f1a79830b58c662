# A reference that was left out, and two blocks that it could mean.
tls "files" "one" {}
tls "files" "two" {}
listener "submission" "public" {}

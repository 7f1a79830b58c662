# A secret over several lines, with a mistake within.
relay "smarthost" "ses" {
  password = <<EOT
marker-one
marker-two ${
marker-three
EOT
}

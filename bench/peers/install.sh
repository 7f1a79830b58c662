#!/usr/bin/env bash
# Installs the mail servers that the benchmark measures beside Waxwing: on
# Debian bookworm, as root, in about three minutes; again it takes a second.
#
#   bench/peers/install.sh
#
# Postfix, OpenDKIM and what they need are Debian's packages, which do not
# start on this machine. The others are put below /usr/local/lib/waxwing-peers
# and nowhere else: Exim, unpacked from Debian's package, because Debian
# installs one mail server at a time; Haraka by npm; maddy and chasquid, built
# from their modules by the same Go that builds Waxwing, since Debian has no
# maddy, and a chasquid that cannot sign by itself.
set -euo pipefail

peers=/usr/local/lib/waxwing-peers
haraka=3.3.4
haraka_dkim=1.3.1
haraka_relay=1.0.2
maddy=v0.8.2
chasquid=v1.18.0

packages=(
  libdb5.3 libgnutls-dane0 libidn12 libnsl2 libpam0g libpcre2-8-0 # what Exim is linked with
  libsasl2-modules # AUTH PLAIN
  opendkim
  postfix
  sasl2-bin        # saslpasswd2: Cyrus SASL's own database, read by smtpd itself, is the fastest back end of Postfix
  strace           # counts flushes
)

say() { printf '%s\n' "$*"; }
installed() { [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]; }

[ "$(id -u)" = 0 ] || { say "install.sh: run this as root" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$peers/bin"

updated=
update() {
  [ -n "$updated" ] || apt-get update -qq
  updated=yes
}

# Debian's daemons are for the benchmark to start, not for the machine.
no_daemons() {
  local policy=/usr/sbin/policy-rc.d
  [ ! -e "$policy" ] || return 0
  printf '#!/bin/sh\nexit 101\n' > "$policy"
  chmod +x "$policy"
  trap 'rm -rf "$work" /usr/sbin/policy-rc.d' EXIT
}

debian() {
  local missing=() p
  for p in "${packages[@]}"; do installed "$p" || missing+=("$p"); done
  [ ${#missing[@]} -gt 0 ] || return 0
  say "Debian: ${missing[*]}"
  no_daemons
  update
  DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends "${missing[@]}" > "$work/apt.log" 2>&1 ||
    { cat "$work/apt.log" >&2; return 1; }
}

exim() {
  [ ! -x "$peers/usr/sbin/exim4" ] || [ ! -s "$peers/exim4.version" ] || return 0
  say "Exim: Debian's exim4-daemon-light, unpacked"
  update
  (cd "$work" && apt-get download -qq -o APT::Sandbox::User=root exim4-daemon-light)
  dpkg-deb -x "$work"/exim4-daemon-light_*.deb "$peers"
  dpkg-deb -f "$work"/exim4-daemon-light_*.deb Version > "$peers/exim4.version"
}

# node_of says whether there is a Node that Haraka takes: 20 or newer.
node_of() {
  local version
  version=$(node --version 2>/dev/null) || version=v0
  version=${version#v}
  [ "${version%%.*}" -ge 20 ]
}

haraka() {
  local at=$peers/haraka/node_modules
  [ ! -x "$at/Haraka/bin/haraka" ] || ! grep -qF "\"version\": \"$haraka\"" "$at/Haraka/package.json" || return 0
  if ! node_of || ! command -v npm > /dev/null; then
    say "Haraka: left out. It needs Node 20 or newer with npm, and bookworm has Node 18: install one and run this again."
    return 0
  fi
  say "Haraka $haraka: npm"
  mkdir -p "$peers/haraka"
  # The optional dependencies are plugins that are not loaded here.
  npm install --silent --no-audit --no-fund --omit=optional --ignore-scripts --prefix "$peers/haraka" \
    "Haraka@$haraka" "haraka-plugin-dkim@$haraka_dkim" "haraka-plugin-relay@$haraka_relay"
}

# module MODULE VERSION LDFLAGS PACKAGE... builds programs of a module with the
# dependencies that its authors chose. go install would not: it refuses a
# module that replaces some, as maddy does.
module() {
  local module=$1 version=$2 flags=$3 dir
  shift 3
  (cd "$work" && go mod download "$module@$version") # elsewhere it would read our go.mod
  dir=$work/$(basename "$module")
  cp -r "$(go env GOMODCACHE)/$module@$version" "$dir"
  chmod -R u+w "$dir"
  (cd "$dir" && CGO_ENABLED=0 go build -trimpath -ldflags "$flags" -o "$peers/bin/" "$@")
}

maddy() {
  ! "$peers/bin/maddy" version 2>/dev/null | grep -qF "${maddy#v} " || return 0
  say "maddy $maddy: go build"
  module github.com/foxcpp/maddy "$maddy" "-X github.com/foxcpp/maddy.Version=${maddy#v}" ./cmd/maddy
}

chasquid() {
  ! "$peers/bin/chasquid" --version 2>/dev/null | grep -qF "${chasquid#v} " || return 0
  say "chasquid $chasquid: go build"
  module blitiri.com.ar/go/chasquid "$chasquid" "-X main.version=${chasquid#v}" . ./cmd/chasquid-util
}

debian
exim
haraka
maddy
chasquid
say "The peers are installed: Debian's packages, and $peers."

# What bootstrap and stand-ins/make share: how they speak, and apt with one more suite.
# shellcheck shell=sh

# bootstrap names itself also where another script says it.
say() { printf '%s: %s\n' "${speaker:-bootstrap}" "$*" >&2; }

die() {
  say "error: $*"
  exit 1
}

have() { command -v "$1" >/dev/null 2>&1; }

# Runs a command quietly; on failure shows the end of what it said, and stops with the hint.
quietly() {
  hint=$1
  shift
  log=$(mktemp)
  if ! "$@" >"$log" 2>&1; then
    tail -n 20 "$log" >&2
    rm -f "$log"
    die "$hint"
  fi
  rm -f "$log"
}

is_debian() { have apt-get && have dpkg; }

# The archive that most of the machine's own sources use.
debian_uri() {
  # shellcheck disable=SC2016 # apt expands this itself
  apt-get indextargets --format '$(REPO_URI)' | grep -v security |
    sort | uniq -c | sort -rn | awk 'NR == 1 { print $2 }'
}

# Writes an apt.conf with a source for SUITE: the machine's own sources and lists stay as they are.
private_apt_folder() { # FOLDER SUITE ARCHITECTURE PREFERENCES
  mkdir -p "$1/sources" "$1/lists/partial" "$1/cache/archives/partial"
  key=/usr/share/keyrings/debian-archive-keyring.gpg
  signed=
  [ ! -e "$key" ] || signed=" signed-by=$key"
  echo "deb [arch=$3$signed] $(debian_uri) $2 main" >"$1/sources/$2.list"
  cat >"$1/apt.conf" <<EOF
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "$1/sources";
Dir::Etc::preferences "$4";
Dir::Etc::preferencesparts "/dev/null";
Dir::State::lists "$1/lists";
Dir::Cache "$1/cache";
Acquire::Languages "none";
APT::Architectures { "$(dpkg --print-architecture)"; "$3"; };
EOF
  # apt fetches as a user of its own.
  chmod -R a+rX "$1"
}

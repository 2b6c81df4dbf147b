#!/usr/bin/env bash
# Installs what a fresh Debian or Ubuntu needs: system tools, the locked Python environment, JVM jars.
# Every step looks first, so a second run takes a second or two.
set -euo pipefail
cd "$(dirname "$0")/.."
say() { printf '\033[1msetup:\033[0m %s\n' "$*"; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi; }

# 1. System tools.
packages=(bwa samtools bcftools tabix fastqc maven git python3-pip chromium chromium-driver)
command -v java >/dev/null && java -version 2>&1 | grep -qE '"(17|21)\.' || packages+=(openjdk-17-jdk-headless)
missing=()
for p in "${packages[@]}"; do dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing+=("$p"); done
[ -x "$(command -v mvn)" ] && missing=("${missing[@]/maven/}")
python3 -m pip --version >/dev/null 2>&1 && missing=("${missing[@]/python3-pip/}")
read -r -a missing <<< "${missing[*]}" || true
if [ "${#missing[@]}" -gt 0 ]; then
  say "installing ${missing[*]}"
  as_root apt-get update -qq
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

# 2. uv and the locked environment. Compiled bytecode halves the start of every command.
if ! command -v uv >/dev/null; then
  say "installing uv"
  python3 -m pip install -q uv 2>/dev/null || python3 -m pip install -q --break-system-packages uv
  command -v uv >/dev/null || { say "uv is installed but not on PATH: add ~/.local/bin to PATH and run again"; exit 1; }
fi
lock=$(cat pyproject.toml uv.lock | sha256sum | cut -d' ' -f1)
if [ "$(cat .venv/.lsdata-lock 2>/dev/null)" != "$lock" ]; then
  say "installing the locked Python environment into .venv"
  uv sync --frozen --compile-bytecode --quiet
  # Dagster's own commands find the home below LSDATA_HOME without DAGSTER_HOME being set.
  for site in .venv/lib/python3*/site-packages; do echo 'import lsdata.dagster_home' > "$site/zz_lsdata_dagster_home.pth"; done
  echo "$lock" > .venv/.lsdata-lock
fi

# 3. JVM jars: GATK, and Delta for Spark.
jars() { # name, target folder
  local stamp; stamp=$(sha256sum "setup/$1/pom.xml" | cut -d' ' -f1)
  if [ "$(cat "$2/.stamp" 2>/dev/null)" != "$stamp" ]; then
    say "fetching the jars of $1"
    rm -rf "$2" && mkdir -p "$2"
    mvn -q -B -f "setup/$1/pom.xml" org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies \
      -DincludeScope=runtime -DoutputDirectory="$PWD/$2" ${3:-} > "$2/maven.log" 2>&1 || { cat "$2/maven.log"; exit 1; }
    echo "$stamp" > "$2/.stamp"
  fi
}
jars gatk .tools/gatk/lib
jars spark .tools/spark/jars "-DincludeGroupIds=io.delta,io.unitycatalog"

# 4. Azure's storage emulator, for the tests of object stores; npm comes with the Python environment.
if ! cmp -s setup/azurite/package-lock.json .tools/azurite/package-lock.json; then
  say "installing the storage emulator"
  rm -rf .tools/azurite && mkdir -p .tools/azurite && cp setup/azurite/*.json .tools/azurite
  (cd .tools/azurite && PATH="$OLDPWD/.venv/bin:$PATH" npm ci --silent --no-fund --no-audit --ignore-scripts) \
    || { rm -f .tools/azurite/package-lock.json; exit 1; }
fi
mkdir -p .tools/bin
cmp -s setup/gatk.sh .tools/bin/gatk || install -m 755 setup/gatk.sh .tools/bin/gatk
say "ready"

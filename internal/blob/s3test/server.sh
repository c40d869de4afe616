# Runs an S3 server with its objects in $dir until standard input closes; then
# stops it and removes $dir. Arguments: program, directory, address.
program=$1 dir=$2 addr=$3
mkdir -p "$dir/objects" "$dir/versions" "$dir/sidecar"
"$program" --port "$addr" --quiet --health /healthz posix \
	--sidecar "$dir/sidecar" --versioning-dir "$dir/versions" "$dir/objects" \
	</dev/null >"$dir/log" 2>&1 &
pid=$!

while read -r _; do :; done

kill "$pid"
wait "$pid"
rm -rf "$dir"

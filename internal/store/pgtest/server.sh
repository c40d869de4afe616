# Runs a PostgreSQL with its data and its socket in $dir, until standard input
# closes; then stops it and removes $dir. Arguments: binaries, directory, user.
#
# No sync: nobody needs the data after a crash. The English collation of ICU is
# not that of C, so a query that depends on the collation shows itself.
bin=$1 dir=$2 user=$3
cd "$dir" || exit 1
exec >"$dir/log" 2>&1

"$bin/initdb" -D "$dir/data" -U "$user" -A trust -E UTF8 --no-sync \
	--locale=C.UTF-8 --locale-provider=icu --icu-locale=en || { touch "$dir/failed"; }

pid=
if [ ! -e "$dir/failed" ]; then
	"$bin/postgres" -D "$dir/data" -k "$dir" -h '' \
		-c fsync=off -c full_page_writes=off -c synchronous_commit=off \
		-c shared_buffers=32MB -c max_connections=200 -c autovacuum=off </dev/null &
	pid=$!
fi

while read -r _; do :; done

if [ -n "$pid" ]; then
	kill -INT "$pid"
	wait "$pid"
fi
rm -rf "$dir"

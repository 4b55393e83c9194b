#!/bin/sh
# Servers of another Debian suite than the machine's own, in a tree of their own:
#
#   suite.sh make SUITE TREE     install RabbitMQ and PostgreSQL of the suite in the tree, once; as root, by debootstrap, in 2 minutes
#   suite.sh bin TREE FOLDER     write commands that run in the tree into the folder: rabbitmq-server, rabbitmqctl, epmd, postgres, initdb, …
#
# Each command has a mount namespace of its own, so that nothing stays mounted.
set -eu

# The machine's /proc, /dev and folder of temporary files, where test data is.
# shellcheck disable=SC2016 # expanded by the shell that runs it
enter='set -e
mount --rbind /proc "$0/proc"; mount --rbind /dev "$0/dev"; mount --rbind /tmp "$0/tmp"
exec chroot "$0" "$@"'

make() {
	suite=$1 tree=$2
	[ -e "$tree/.complete" ] && return
	[ "$(id -u)" = 0 ] || { echo "installing the servers of Debian $suite needs root" >&2; exit 1; }
	command -v debootstrap >/dev/null || { apt-get update -q; DEBIAN_FRONTEND=noninteractive apt-get install -yq --no-install-recommends debootstrap; }
	mirror=$(sed -n 's/^URIs: *\([^ ]*\).*/\1/p' /etc/apt/sources.list.d/debian.sources 2>/dev/null | head -1)
	[ -n "$mirror" ] || mirror=$(sed -n 's/^deb \(\[[^]]*\] \)\{0,1\}\([^ ]*\).*/\2/p' /etc/apt/sources.list 2>/dev/null | head -1)
	[ -n "$mirror" ] || { echo "no Debian mirror is configured in /etc/apt" >&2; exit 1; }
	mkdir -p "${tree%/*}"
	rm -rf --one-file-system "$tree"
	debootstrap --variant=minbase --include=ca-certificates "$suite" "$tree" "$mirror"
	printf '#!/bin/sh\nexit 101\n' >"$tree/usr/sbin/policy-rc.d" # no service starts
	chmod +x "$tree/usr/sbin/policy-rc.d"
	# A list of sid may be older than its own limit.
	printf '%s\n' 'Dpkg::Options { "--force-unsafe-io"; };' 'Acquire::Check-Valid-Until "false";' >"$tree/etc/apt/apt.conf.d/99fast"
	cp -n /etc/apt/apt.conf.d/*[Pp]roxy* "$tree/etc/apt/apt.conf.d/" 2>/dev/null || true
	cp /etc/resolv.conf "$tree/etc/resolv.conf" 2>/dev/null || true
	cp /etc/hosts "$tree/etc/hosts"
	mkdir -p "$tree/etc/postgresql-common/createcluster.d"
	echo 'create_main_cluster = false' >"$tree/etc/postgresql-common/createcluster.d/none.conf"
	unshare -m --propagation private sh -c "$enter" "$tree" env DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 sh -c \
		'apt-get update -q && apt-get install -yq --no-install-recommends rabbitmq-server postgresql && apt-get clean && rm -rf /var/lib/apt/lists/*'
	touch "$tree/.complete"
}

bin() {
	tree=$1 folder=$2
	mkdir -p "$folder"
	for file in "$tree"/usr/lib/rabbitmq/lib/rabbitmq_server-*/sbin/rabbitmq* "$tree"/usr/bin/epmd "$tree"/usr/lib/postgresql/*/bin/*; do
		as=
		case $file in */postgresql/*) as='setpriv --reuid postgres --regid postgres --clear-groups --' ;; esac
		cat >"$folder/.new" <<-END
			#!/bin/sh
			export LC_ALL=C.UTF-8 PATH=/usr/sbin:/usr/bin:/sbin:/bin
			exec unshare -m --propagation private sh -c '$enter' "$tree" $as "${file#"$tree"}" "\$@"
		END
		chmod +x "$folder/.new"
		mv "$folder/.new" "$folder/${file##*/}"
	done
}

verb=$1
shift
case $verb in
make) make "$@" ;;
bin) bin "$@" ;;
*) echo "suite.sh: no verb $verb" >&2; exit 2 ;;
esac

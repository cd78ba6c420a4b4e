#!/bin/sh
# Installs the Debian packages that `make mail` or `make test` need, those that
# are missing and no more, makes the user that mailboxes belong to, and starts no
# service. An ordinary user is told what is missing, and the caller goes on with
# what is there.
#
#	tests/setup.sh mail|test
set -eu
PATH=$PATH:/usr/sbin:/sbin # Exim is there, and an ordinary user's PATH may lack it

dovecot=/usr/lib/dovecot
servers="exim4:exim4-daemon-heavy dovecot:dovecot-core $dovecot/imap:dovecot-imapd $dovecot/pop3:dovecot-pop3d
	$dovecot/lmtp:dovecot-lmtpd $dovecot/modules/lib90_sieve_plugin.so:dovecot-sieve
	$dovecot/managesieve:dovecot-managesieved swaks:swaks
	/usr/share/doc/libnet-ssleay-perl:libnet-ssleay-perl"
case ${1-} in
mail) needs=$servers ;;
test) needs="$servers"' strace:strace socat:socat
	systemd-analyze:systemd systemd-socket-activate:systemd systemd-sysusers:systemd
	unshare:util-linux mount:mount xmllint:libxml2-utils gcc:gcc /usr/include/stdio.h:libc6-dev
	postgrey:postgrey spamd:spamd clamd:clamav-daemon
	chromium:chromium npm:npm
	named:bind9 named-checkzone:bind9-utils opendkim-genkey:opendkim-tools dkimverify:python3-dkim
	/usr/lib/python3/dist-packages/nacl:python3-nacl /usr/lib/python3/dist-packages/authheaders:python3-authheaders
	/usr/lib/python3/dist-packages/spf.py:python3-spf' ;;
*)
	echo "usage: $0 mail|test" >&2
	exit 2
	;;
esac

# Each need is a program, or a file, and the package that brings it.
missing=
for need in $needs; do
	what=${need%:*} package=${need#*:}
	if command -v "$what" >/dev/null 2>&1 || [ -e "$what" ]; then
		continue
	fi
	case " $missing " in
	*" $package "*) ;;
	*) missing="$missing $package" ;;
	esac
done

if ! getent passwd vmail >/dev/null; then
	make_user='useradd --system --user-group --home-dir /var/vmail --no-create-home --shell /usr/sbin/nologin vmail'
	if [ "$(id -u)" -eq 0 ]; then
		echo "making the user vmail"
		$make_user
	else
		echo "missing: the user vmail; root makes it with $make_user"
	fi
fi
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
	for package in $missing; do
		echo "missing: the Debian package $package; root installs it with apt-get install $package"
	done
	exit 0
fi

# Debian asks this program before it starts a service that it has installed. An
# administrator's own one is left alone. (The variable is for the test.)
policy=${POLICY_RC_D-/usr/sbin/policy-rc.d}
if [ ! -e "$policy" ]; then
	trap 'rm -f "$policy"' EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
fi

install() {
	# --no-remove: another mail server that stands here must not go for a test.
	# shellcheck disable=SC2086 # a list of words
	DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=300 \
		install --no-install-recommends --no-remove $missing </dev/null
}

echo "installing:$missing"
log=$(mktemp)
if ! install >"$log" 2>&1; then
	# The lists of packages may be missing or old.
	if ! { apt-get -qq -o DPkg::Lock::Timeout=300 update && install; } >>"$log" 2>&1; then
		cat "$log" >&2
		rm -f "$log"
		echo "could not install:$missing" >&2
		exit 1
	fi
fi
rm -f "$log"

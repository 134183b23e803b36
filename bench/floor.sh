#!/bin/sh
# floor.sh LEAVES PACKAGE...: makes the server that site.yml makes, with no check, no safety and no second use:
# what a shell needs at least. /root/floor.tar holds the files; LEAVES are the certificates, separated by commas.
set -eu
leaves=$1
shift
export DEBIAN_FRONTEND=noninteractive

printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
apt-get update -qq
apt-get install -y -qq --no-install-recommends "$@"
rm /usr/sbin/policy-rc.d

useradd --system --user-group --no-create-home --home-dir /srv/shop --shell /usr/sbin/nologin shop
tar --extract --absolute-names --file=/root/floor.tar
update-ca-certificates >/dev/null

pki=/etc/shop/pki
mkdir -p "$pki"
cd "$pki"
make_key() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"; }
make_key ca.key
openssl req -x509 -new -key ca.key -subj "/CN=shop CA" -days 3650 -out ca.crt \
  -addext keyUsage=critical,keyCertSign,cRLSign
for leaf in $(echo "$leaves" | tr , ' '); do
  make_key "$leaf.key"
  cat >extensions <<EOF
subjectAltName=DNS:$(hostname),DNS:localhost,DNS:shop.localhost,IP:127.0.0.1
extendedKeyUsage=serverAuth,clientAuth
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid
EOF
  openssl req -new -key "$leaf.key" -subj "/CN=$leaf" -out "$leaf.csr"
  openssl x509 -req -in "$leaf.csr" -CA ca.crt -CAkey ca.key -CAcreateserial -days 365 -extfile extensions \
    -out "$leaf.crt" 2>/dev/null
done
chmod 600 ./*.key

systemctl daemon-reload
systemctl restart postgresql
url=$(cat /etc/shop/credentials/web/DATABASE_URL)
password=${url#*://*:}
password=${password%%@*}
cd /
printf "CREATE ROLE shop LOGIN PASSWORD '%s';\nCREATE DATABASE shop OWNER shop;\n" "$password" |
  runuser -u postgres -- psql --quiet --set=ON_ERROR_STOP=1

release=$(readlink -f /srv/shop/current)
python3 -m venv "$release/venv"
PIP_CERT=/etc/ssl/certs/ca-certificates.crt "$release/venv/bin/pip" install --quiet --disable-pip-version-check \
  --requirement "$release/app/requirements.txt"
"$release/venv/bin/python" -m compileall -q "$release/app"
(
  cd "$release/app"
  set -a
  # shellcheck source=/dev/null
  . /etc/shop/web.env
  for credential in /etc/shop/credentials/web/*; do eval "$(basename "$credential")=\$(cat $credential)"; done
  export CELERY_TLS_KEY=$pki/web.key PGSSLKEY=$pki/web.key DJANGO_STATIC_ROOT="$release/static"
  "$release/venv/bin/python" manage.py migrate --noinput --verbosity=0
  "$release/venv/bin/python" manage.py collectstatic --noinput --verbosity=0
)

systemctl restart nginx
systemctl start shop.target
for heartbeat in /etc/systemd/system/shop-worker@*.service.d; do
  pool=${heartbeat##*@}
  until [ -e "/run/shop-worker-${pool%.service.d}/heartbeat" ]; do sleep 0.1; done
done
is_serving='
import ssl, sys, urllib.request
urllib.request.urlopen("https://localhost/healthz", context=ssl.create_default_context(cafile=sys.argv[1]))'
until python3 -c "$is_serving" "$pki/ca.crt" 2>/dev/null; do sleep 0.1; done

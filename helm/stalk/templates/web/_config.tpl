{{- define "stalk.web.config" -}}
{{- $timeout := add (int64 .Values.web.timeout) 5 -}}
nginx.conf: |
  daemon off;
  worker_processes auto;
  worker_shutdown_timeout {{ $timeout }}s;
  pid /run/stalk/nginx.pid;
  error_log stderr warn;

  events {
    worker_connections 4096;
  }

  http {
    include /etc/nginx/mime.types;
    default_type application/octet-stream;
    sendfile on;
    tcp_nopush on;
    server_tokens off;

    client_body_temp_path /tmp/client_body;
    proxy_temp_path /tmp/proxy;
    fastcgi_temp_path /tmp/fastcgi;
    uwsgi_temp_path /tmp/uwsgi;
    scgi_temp_path /tmp/scgi;

    log_format request '$remote_addr "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent" '
                       '$request_time $upstream_response_time $correlation_id';
    access_log /dev/stdout request;

    client_max_body_size {{ .Values.web.kubernetes.body_limit }};
    client_header_timeout 10s;
    client_body_timeout 15s;
    send_timeout 15s;
    keepalive_timeout 60s;

    # Mozilla's intermediate profile.
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_ciphers ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305;
    ssl_ecdh_curve X25519:prime256v1:secp384r1;
    ssl_prefer_server_ciphers off;
    ssl_session_cache shared:tls:10m;
    ssl_session_timeout 1d;
    ssl_session_tickets off;
    ssl_certificate /etc/stalk/tls/tls.crt;
    ssl_certificate_key /etc/stalk/tls/tls.key;

    # A caller's own id is kept when it is harmless, so that one id follows a request through every part.
    map $http_x_request_id $correlation_id {
      default $request_id;
      "~^[A-Za-z0-9._-]{8,64}$" $http_x_request_id;
    }
    map $http_upgrade $connection_upgrade {
      default upgrade;
      "" "";
    }
    map $request_uri $is_logged {
      default 1;
      "{{ .Values.web.kubernetes.probe }}" 0;
    }

    proxy_http_version 1.1;
    proxy_set_header Host $http_host;
    proxy_set_header X-Real-IP $remote_addr;
    proxy_set_header X-Forwarded-For $remote_addr;
    proxy_set_header X-Forwarded-Proto $scheme;
    proxy_set_header X-Scheme $scheme;
    proxy_set_header X-Request-ID $correlation_id;
    proxy_set_header Upgrade $http_upgrade;
    proxy_set_header Connection $connection_upgrade;
    proxy_connect_timeout 5s;
    proxy_send_timeout {{ $timeout }}s;
    proxy_read_timeout {{ $timeout }}s;

    upstream gunicorn {
      server unix:/run/stalk/gunicorn.sock fail_timeout=0;
    }

    server {
      listen 8443 ssl;
      server_name {{ .Values.web.host }};
      access_log /dev/stdout request if=$is_logged;

      location /static/ {
        alias /run/stalk-static/;
        gzip on;
        gzip_types text/css text/javascript application/javascript application/json image/svg+xml;
        expires 1h;
        # Names with a digest in them (ManifestStaticFilesStorage) never change their content.
        location ~ "^/static/(.*\.[0-9a-f]{12}\..*)$" {
          alias /run/stalk-static/$1;
          gzip on;
          gzip_types text/css text/javascript application/javascript application/json image/svg+xml;
          expires 1y;
          add_header Cache-Control "public, immutable";
        }
      }
  {{- if .Values.flower.enabled }}

      location = /flower {
        return 301 /flower/;
      }
      # These two ask for no login (flower 2.2, views/monitor.py).
      location ~ ^/flower/(healthcheck|metrics)/?$ {
        return 404;
      }
      location /flower/ {
        proxy_pass https://{{ .Values.app.name }}-flower:{{ int64 .Values.flower.port }};
        proxy_ssl_certificate /etc/stalk/tls/tls.crt;
        proxy_ssl_certificate_key /etc/stalk/tls/tls.key;
        proxy_ssl_trusted_certificate /etc/stalk/tls/ca.crt;
        proxy_ssl_verify on;
        proxy_ssl_verify_depth 3;
        proxy_ssl_server_name on;
        proxy_ssl_name {{ .Values.app.name }}-flower;
        proxy_ssl_protocols TLSv1.2 TLSv1.3;
      }
  {{- end }}

      location / {
        proxy_pass http://gunicorn;
      }
    }
  }
start: |
  {{- .Files.Get "files/web/start" | nindent 2 }}
{{- end }}

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
    {{- .Files.Get "files/web/http.conf" | nindent 4 }}
    client_body_temp_path /tmp/client_body;
    proxy_temp_path /tmp/proxy;
    fastcgi_temp_path /tmp/fastcgi;
    uwsgi_temp_path /tmp/uwsgi;
    scgi_temp_path /tmp/scgi;

    access_log /dev/stdout request;

    client_max_body_size {{ .Values.web.kubernetes.body_limit }};
    ssl_certificate /etc/stalk/tls/tls.crt;
    ssl_certificate_key /etc/stalk/tls/tls.key;

    map $request_uri $is_logged {
      default 1;
      "{{ .Values.web.kubernetes.probe }}" 0;
    }

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

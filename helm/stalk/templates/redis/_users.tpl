{{/* What each component does over kombu 5.7 and Celery 5.7, as in roles/redis/templates/users.acl.j2. */}}
{{- define "stalk.redis.users" -}}
{{- $key := printf "~%s:" .Values.app.name }}
{{- $channel := printf "&%s:" .Values.app.name }}
{{- $connection := "+ping +hello +auth +select +client|setname +client|setinfo" }}
{{- $transaction := "+multi +exec +discard" }}
{{- $send := "+lpush +llen +sadd +smembers +publish +subscribe +unsubscribe" }}
{{- $result_keys := printf "%[1]scelery-task-meta-* %[1]scelery-taskset-meta-* %[1]schord-unlock-*" $key }}
{{- $result_channels := printf "%[1]scelery-task-meta-* %[1]scelery-taskset-meta-*" $channel }}
{{- $commands_channel := printf "%s/0.celery.pidbox" $channel }}
{{- $events_channel := printf "%[1]s/0.celeryev/* %[1]s/0.celeryev/worker.*" $channel }}
{{- $rules := dict
  "web" (list (printf "%s*" $key) $result_channels $commands_channel $events_channel $transaction $send
    (printf "(%s +get +mget +set +setex +del +expire)" $result_keys))
  "beat" (list (printf "%s*" $key) $result_channels $events_channel $transaction $send)
  "worker" (list (printf "%s*" $key) (printf "%s*" $channel) $commands_channel $events_channel $transaction $send
    "+psubscribe +punsubscribe +watch +unwatch +time +evalsha +script|load +script|exists"
    "+brpop +rpop +rpush +lrange +hset +hget +hdel +hlen +srem +sismember +exists +del +expire +pexpire"
    "+zadd +zrem +zrange +zrangebyscore +zrevrangebyscore +zcount +get +mget +set +setex +incr +incrby")
  "flower" (list (printf "%s*" $key) $commands_channel $events_channel $transaction
    "+llen +rpush +publish +subscribe +unsubscribe +psubscribe +punsubscribe +unwatch +time +script|load +script|exists"
    (printf "(%s_kombu.binding* +sadd +srem +smembers +exists +del +zadd +zrem +zrangebyscore +evalsha)" $key)
    (printf "(%[1]s*.reply.celery.pidbox* %[1]sceleryev.* +brpop +del +pexpire)" $key)
    (printf "(%sunacked_mutex +set +get +del +evalsha)" $key)
    (printf "(%[1]sunacked %[1]sunacked_index +watch +hget +hdel +zrem +zrange)" $key)
    (printf "(%s +get)" $result_keys))
  "scaler" (list (printf "%s*" $key) "+type +llen +hlen +eval +evalsha")
-}}
{{/* Nobody becomes `default`, it is off. Yet Redis reads its append-only file as `default`, and without these rights
     loses every transaction in it, with no word in its log (redis/redis issue 14541, seen on 7.0.15 and 8.0.2). */ -}}
user default off resetpass ~* &* +@all
{{- range include "stalk.components" . | fromJsonArray }}
user {{ . }} on #@{{ . }}@ resetkeys resetchannels -@all {{ $connection }} {{ get $rules . | join " " }}
{{- end }}
user operator on #@operator@ resetkeys resetchannels -@all +@connection +config|get +config|set +acl|setuser +acl|list +acl|getuser +acl|log +info +slowlog +latency +memory|stats +bgrewriteaof +lastsave
{{- end }}

-- Forget a message that was put aside. ARGV: id. Returns whether it was there.
redis.call('HDEL', P .. 'mh', ARGV[2])
return redis.call('ZREM', P .. 'm', ARGV[2])

-- Put a message that was put aside back into its queue. ARGV: id, list, message. Returns whether it was there.
permit()
if redis.call('ZREM', P .. 'm', ARGV[2]) == 0 then return 0 end
redis.call('HDEL', P .. 'mh', ARGV[2])
redis.call('LPUSH', P .. ARGV[3], ARGV[4])
return 1

-- ARGV: prefix, name. Returns the id of the job that has this key, or "".
local holder = redis.call('GET', key('unique:' .. ARGV[2]))
return holder and counts(holder) and holder or ''

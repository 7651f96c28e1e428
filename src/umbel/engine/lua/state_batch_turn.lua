-- Change a batch. ARGV: prefix, id, "close", "cancel" or "recount", the token in whose name callbacks are put into the outbox.
-- Returns 0 if there is nothing to change, and for each message in the outbox its number and what stands there.
local at = now()
local posted = {}
relieve()
local function send(message)
    local number = post(ARGV[4], message, at)
    posted[#posted + 1] = number
    posted[#posted + 1] = redis.call('HGET', key('outbox'), number)
end
local changed = turn_batch(ARGV[2], ARGV[3], at, send)
return {changed, posted}

-- Put jobs into the outbox as members of a batch. ARGV: prefix, id, MessagePack [[list, body, priority, id, info, due, once], …],
-- the token in whose name. Returns what batch_add.lua does, and for each of those in the outbox its number and what stands there.
local at = now()
local posted = {}
local function send(message)
    local number = post(ARGV[4], message, at)
    posted[#posted + 1] = number
    posted[#posted + 1] = redis.call('HGET', key('outbox'), number)
end
local answer = add_members(ARGV[2], cmsgpack.unpack(ARGV[3]), at, send)
return {answer[1], answer[2], posted}

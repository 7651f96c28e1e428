-- Queue jobs as members of a batch. ARGV: prefix, id, MessagePack [[list, body, priority, id, info, due, once], …]. Returns
-- {-1, 0} if there is no such batch, {0, 0} if it takes no more, else 1 and how many were new.
local at = now()
local function send(message) push(message[1], message[2], message[3], message[4], message[5], message[6], at) end
return add_members(ARGV[2], cmsgpack.unpack(ARGV[3]), at, send)

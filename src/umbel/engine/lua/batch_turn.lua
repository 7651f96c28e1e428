-- Change a batch. ARGV: prefix, id, and "close", "cancel" or "recount". Returns 0 if there is nothing to change.
local at = now()
relieve()
local function send(message) push(message[1], message[2], message[3], message[4], message[5], message[6], at) end
return turn_batch(ARGV[2], ARGV[3], at, send)

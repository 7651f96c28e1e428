-- Put the messages of dead letters into the outbox, each with the fact that it was replayed.
-- ARGV: prefix, MessagePack [[number, key, replays, again, message as push takes it], …].
-- Returns for each that was: its number, and its message's number in the outbox.
local at = now()
local done = {}
for _, wanted in ipairs(cmsgpack.unpack(ARGV[2])) do
    local number, name, replays, again, message = unpack(wanted)
    if exhume(number, name, replays, again) then
        done[#done + 1] = number
        done[#done + 1] = post('-', message, at)
    end
end
return done

-- Queue the messages of dead letters again, each with the fact that it was replayed.
-- ARGV: prefix, MessagePack [[number, key, replays, again, message as push takes it], …]. Returns the numbers of those that were.
local at = now()
local done = {}
for _, wanted in ipairs(cmsgpack.unpack(ARGV[2])) do
    local number, name, replays, again, message = unpack(wanted)
    if exhume(number, name, replays, again) then
        push(message[1], message[2], message[3], message[4], message[5], message[6], at)
        done[#done + 1] = number
    end
end
return done

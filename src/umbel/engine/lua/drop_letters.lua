-- Drop dead letters. ARGV: prefix, MessagePack [number, …]. Returns how many there were.
relieve()
local dropped = 0
for _, number in ipairs(cmsgpack.unpack(ARGV[2])) do
    if unbury(number) then dropped = dropped + 1 end
end
return dropped

-- Notes that the doctor has been told of a ticket. ARGV: id.
if not epoch() then return 0 end
local e = entry(ARGV[1])
if not e or e.open ~= '1' then return 0 end
write(ARGV[1], string.format('%.0f', e.version), string.format('%.0f', e.seq), e.open, '1', e.payload)
return 1

--- Float weights: what the others are compared with.

return { name = "float", doc = "32-bit weights, trained for the whole budget", start = "scratch" }

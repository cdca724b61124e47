import helper
def doubled(n): return helper.TWO * n

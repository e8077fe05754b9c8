"""How much memory a program of the tests has taken."""

# ru_maxrss would be of no use: a program inherits it, through exec, from the one that started it
PEAK = """
import pathlib, re
print(int(re.search(r"VmHWM:\\s+(\\d+)", pathlib.Path("/proc/self/status").read_text())[1]) // 1024)
"""  # Python: print the highest resident size of this process so far, in MiB

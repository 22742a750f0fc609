# Perl: File::Map makes the file a string, of which substr and unpack see and change the elements.
use strict;
use warnings;
use File::Map qw(map_file);
use List::Util qw(sum);

my ($path, $index, $value) = @ARGV;
map_file my $file, $path, '+<';

# Bytes 8 and 9 say how long the header is that begins at byte 10.
my $offset = 10 + unpack 'x8 v', $file;

printf "%.17g\n", sum(unpack "x$offset d<*", $file);
substr($file, $offset + 8 * $index, 8) = pack 'd<', $value;

# Prints the open TCP ports of the address given, one a line. perl-base is on every Debian.
# 500 connection attempts at a time: select() knows no more than 1024 descriptors.
use strict;
use warnings;
use Errno qw(EINPROGRESS);
use Fcntl qw(F_GETFL F_SETFL O_NONBLOCK);
use Socket;

my $address = inet_aton($ARGV[0]) or die "not an address: $ARGV[0]\n";
my @left = (1 .. 65535);
my @open;
while (@left) {
    my %pending;
    for my $port (splice @left, 0, 500) {
        socket(my $socket, PF_INET, SOCK_STREAM, 0) or die "socket: $!\n";
        fcntl($socket, F_SETFL, fcntl($socket, F_GETFL, 0) | O_NONBLOCK) or die "fcntl: $!\n";
        if (connect($socket, sockaddr_in($port, $address))) { push @open, $port }
        elsif ($! == EINPROGRESS) { $pending{$port} = $socket }
    }
    my $until = time + 3; # whole seconds: Time::HiRes is not in every perl-base
    while (%pending and (my $wait = $until - time) > 0) {
        my $bits = '';
        vec($bits, fileno($_), 1) = 1 for values %pending;
        last unless select(undef, $bits, undef, $wait) > 0;
        for my $port (keys %pending) {
            next unless vec($bits, fileno($pending{$port}), 1);
            push @open, $port unless unpack 'i', getsockopt($pending{$port}, SOL_SOCKET, SO_ERROR);
            delete $pending{$port};
        }
    }
}
print "$_\n" for sort { $a <=> $b } @open;

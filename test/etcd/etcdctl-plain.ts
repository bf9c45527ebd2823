/**
 * What tells one server from another in what etcdctl prints. Everything else is compared as it stands. Each has its line, with the reason, in
 * docs/reference/etcd.md under "etcdctl, side by side"; a test holds the names there.
 */
export const differing: Readonly<Record<string, readonly (readonly [RegExp, string])[]>> = {
  'ids of members, leases and the cluster': [
    [/"(cluster_id|member_id|leader|ID)":\d+/g, '"$1":0'],
    [/"(ClusterID|MemberID|Leader|ID|Lease)" : \d+/g, '"$1" : 0'],
    [/\b[0-9a-f]{8,16}\b(?=,| |$|\))/gm, 'ID'],
  ],
  term: [
    [/"raft_?[tT]erm":\d+/g, '"raftTerm":0'],
    [/"RaftTerm" : \d+/g, '"RaftTerm" : 0'],
  ],
  version: [
    [/"version":"3\.[\d.]+"/g, '"version":"3"'],
    [/"Version" : "3\.[\d.]+"/g, '"Version" : "3"'],
    [/^(\S+, ID), 3\.[\d.]+,/gm, '$1, 3,'],
  ],
  'size of the database': [
    [/"dbSize(InUse)?":\d+/g, '"dbSize$1":0'],
    [/"DBSize" : \d+/g, '"DBSize" : 0'],
    [/^(\S+, ID, 3), [\d.]+ [kM]?B,/gm, '$1, 0 B,'],
  ],
  'raft index': [
    [/"raft(Applied)?Index":\d+/g, '"raft$1Index":0'],
    [/"Raft(Applied)?Index" : \d+/g, '"Raft$1Index" : 0'],
    [/^(\S+, ID, 3, 0 B, true, false), \d+, \d+, \d+,/gm, '$1, 0, 0, 0,'],
  ],
  hash: [
    [/"hash":\d+/g, '"hash":0'],
    [/"Hash" : \d+/g, '"Hash" : 0'],
    [/^(ADDRESS), \d+$/gm, '$1, 0'],
  ],
  'name and peer URLs of the member': [
    [/"name":"(one|waymark)"/g, '"name":"NAME"'],
    [/"peerURLs":\["[^\]]*"\],/g, ''],
    [/"Name" : "(one|waymark)"/g, '"Name" : "NAME"'],
    [/"PeerURL" : ".*"\n/g, ''],
    [/^ID, started, (one|waymark), (http:\S+)?,/gm, 'ID, started, NAME, ,'],
  ],
  'how long it took': [
    [/took = [\d.]+[mµn]?s/g, 'took = TIME'],
    [/"Took" : [\d.]+[mµn]?s/g, '"Took" : TIME'],
    [/"took":"[\d.]+[mµn]?s"/g, '"took":"TIME"'],
    [/^(ADDRESS, true), [\d.]+[mµn]?s,/gm, '$1, TIME,'],
  ],
  'how fast the machine is, and how much memory is taken': [
    // Bars of progress, each painted over the one before; the last may be without an end, or of another shape.
    [/^.*\r/gm, ''],
    [/^.*(?=Compact(ed|ing) with revision)/gm, ''],
    [/^ *\d+ \/ \d+ .*%.*\n/gm, ''],
    [/^ *\d+m\d+s *\n/gm, ''],
    [/^(PASS|FAIL)$/gm, 'JUDGED'],
    [
      /^((PASS|FAIL): )?(Throughput|Slowest request|Stddev|Approximate system memory used) .*$/gm,
      'JUDGED: $3',
    ],
    [/^(Compact(?:ed|ing) with revision|"Revision" :) \d{5}$/gm, '$1 0'],
  ],
};

/** A table has the same in it as the plain lines, in columns as wide as an address happens to be. */
export function plain(told: string, address: string): string {
  let text = told.replaceAll(address, 'ADDRESS').split('\n').map(cells).join('\n');
  for (const [pattern, instead] of Object.values(differing).flat()) {
    text = text.replaceAll(pattern, instead);
  }
  return text;
}

function cells(line: string): string {
  if (/^[┌├└+][┬┼┴┐┤┘─+-]*$/.test(line)) return '---';
  if (!/^[|│].*[|│]$/.test(line)) return line;
  const row = line.split(/[|│]/).slice(1, -1);
  return row.map((cell) => cell.trim()).join(', ');
}

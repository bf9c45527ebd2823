/**
 * Numbers that are enums in etcd's API, and their names: JSON has names in answers, and takes either in requests. Keys are fields of our messages,
 * where an enum is an int32.
 */
export interface EnumNames {
  /** As Go calls the type: it stands in error texts. */
  readonly type: string;
  /** By number. */
  readonly names: readonly string[];
}

const alarm: EnumNames = {
  type: 'etcdserverpb.AlarmType',
  names: ['NONE', 'NOSPACE', 'CORRUPT'],
};

const enums: Readonly<Record<string, EnumNames>> = {
  'RangeRequest.sort_order': {
    type: 'etcdserverpb.RangeRequest_SortOrder',
    names: ['NONE', 'ASCEND', 'DESCEND'],
  },
  'RangeRequest.sort_target': {
    type: 'etcdserverpb.RangeRequest_SortTarget',
    names: ['KEY', 'VERSION', 'CREATE', 'MOD', 'VALUE'],
  },
  'Compare.result': {
    type: 'etcdserverpb.Compare_CompareResult',
    names: ['EQUAL', 'GREATER', 'LESS', 'NOT_EQUAL'],
  },
  'Compare.target': {
    type: 'etcdserverpb.Compare_CompareTarget',
    names: ['VERSION', 'CREATE', 'MOD', 'VALUE', 'LEASE'],
  },
  'Event.type': { type: 'mvccpb.Event_EventType', names: ['PUT', 'DELETE'] },
  'WatchCreateRequest.filters': {
    type: 'etcdserverpb.WatchCreateRequest_FilterType',
    names: ['NOPUT', 'NODELETE'],
  },
  'AlarmRequest.action': {
    type: 'etcdserverpb.AlarmRequest_AlarmAction',
    names: ['GET', 'ACTIVATE', 'DEACTIVATE'],
  },
  'AlarmRequest.alarm': alarm,
  'AlarmMember.alarm': alarm,
  'Permission.permType': {
    type: 'authpb.Permission_Type',
    names: ['READ', 'WRITE', 'READWRITE'],
  },
  'DowngradeRequest.action': {
    type: 'etcdserverpb.DowngradeRequest_DowngradeAction',
    names: ['VALIDATE', 'ENABLE', 'CANCEL'],
  },
};

/** @param message  its name alone, without the package */
export function enumNamesOf(message: string, field: string): EnumNames | undefined {
  return enums[`${message}.${field}`];
}

//! Which requests read a list of registers: neighbours share one, and the same list always gives the same requests.
//!
//! By default only true neighbours do: many devices answer exception 02 as soon as one address of a request means nothing
//! to them. `gap` allows so many addresses in between that nobody asked for.

use super::frame::{Request, Table};
use super::register::Register;

/// Most registers in a request.
const REGISTERS_MAX: u32 = 125;
/// Most bits in a request.
const BITS_MAX: u32 = 2_000;

/// A request, and the registers that its answer holds, as places in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    pub request: Request,
    pub registers: Vec<usize>,
}

/// Makes the requests.
pub(super) fn plan(unit: u8, registers: &[Register], gap: u16) -> Vec<Group> {
    let mut order: Vec<usize> = (0..registers.len()).collect();
    order.sort_by_key(|at| (registers[*at].table, registers[*at].address, *at));
    let mut groups: Vec<Group> = Vec::new();
    for at in order {
        let register = &registers[at];
        let end = u32::from(register.address) + u32::from(register.width());
        let joined = groups.last_mut().and_then(|group| {
            let count = joined(group.request, register, end, gap)?;
            group.request.count = count;
            Some(group)
        });
        match joined {
            Some(group) => group.registers.push(at),
            None => {
                let (table, address) = (register.table, register.address);
                let request = Request { unit, table, address, count: register.width() };
                groups.push(Group { request, registers: vec![at] });
            }
        }
    }
    groups
}

/// How many a request asks for if this register, which lies at its beginning or behind it, comes along.
fn joined(request: Request, register: &Register, end: u32, gap: u16) -> Option<u16> {
    let first = u32::from(request.address);
    let so_far = first + u32::from(request.count);
    let count = end.max(so_far) - first;
    let near = u32::from(register.address) <= so_far + u32::from(gap);
    (request.table == register.table && near && count <= most(request.table))
        .then(|| u16::try_from(count).ok())
        .flatten()
}

const fn most(table: Table) -> u32 {
    if table.is_bits() { BITS_MAX } else { REGISTERS_MAX }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests(list: &[(&str, u16, &str)], gap: u16) -> Vec<(Table, u16, u16, usize)> {
        let registers: Vec<Register> = list
            .iter()
            .map(|(table, address, more)| {
                let yaml = format!("{{ metric: m, table: {table}, address: {address}, {more} }}");
                serde_yaml::from_str(&yaml).unwrap_or_else(|error| panic!("{yaml}\n{error}"))
            })
            .collect();
        let groups = plan(1, &registers, gap);
        groups
            .iter()
            .map(|g| (g.request.table, g.request.address, g.request.count, g.registers.len()))
            .collect()
    }

    #[test]
    fn neighbours_share_a_request_in_whatever_order_they_stand() {
        let list = [("input", 2, ""), ("holding", 3, "type: f32"), ("input", 1, ""), ("input", 3, "")];
        let wanted = [(Table::Holding, 3, 2, 1), (Table::Input, 1, 3, 3)];
        assert_eq!(requests(&list, 0), wanted);
        let mut turned = list;
        turned.reverse();
        assert_eq!(requests(&turned, 0), wanted);
    }

    #[test]
    fn one_register_can_have_many_meanings() {
        let list = [
            ("holding", 9, "type: bit, bit: 1"),
            ("holding", 9, "type: bit, bit: 2"),
            ("holding", 9, "type: u32"),
        ];
        assert_eq!(requests(&list, 0), [(Table::Holding, 9, 2, 3)]);
    }

    #[test]
    fn what_lies_between_is_only_read_if_that_is_allowed() {
        let list = [("discrete", 1, ""), ("discrete", 3, ""), ("discrete", 28, "")];
        assert_eq!(requests(&list, 0).len(), 3);
        assert_eq!(requests(&list, 1), [(Table::Discrete, 1, 3, 2), (Table::Discrete, 28, 1, 1)]);
        assert_eq!(requests(&list, 24), [(Table::Discrete, 1, 28, 3)]);
    }

    #[test]
    fn a_request_has_as_many_as_the_protocol_allows() {
        let wide = [("input", 0, ""), ("input", 123, "type: u32"), ("input", 125, "")];
        assert_eq!(requests(&wide, 200), [(Table::Input, 0, 125, 2), (Table::Input, 125, 1, 1)]);
        let cut = [("input", 0, ""), ("input", 124, "type: u32")];
        assert_eq!(requests(&cut, 200), [(Table::Input, 0, 1, 1), (Table::Input, 124, 2, 1)]);
        let bits = [("coil", 0, ""), ("coil", 1_999, ""), ("coil", 2_000, "")];
        assert_eq!(requests(&bits, 2_000), [(Table::Coil, 0, 2_000, 2), (Table::Coil, 2_000, 1, 1)]);
        let last = [("input", 65_534, ""), ("input", 65_535, "")];
        assert_eq!(requests(&last, 0), [(Table::Input, 65_534, 2, 2)]);
    }
}

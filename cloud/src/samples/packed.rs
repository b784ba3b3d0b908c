//! Whole numbers, packed into few bits, so that PostgreSQL can read them too: `unpack` in the migrations is the other half.
//!
//! Most series change by little: their numbers, or the differences between them, lie close together. So a sequence is a
//! base, a unit, and for each number how many units it lies above the base, in as many bits as the farthest needs. The few
//! that lie far off (the first of differences, the step over a gap, a counter that begins again) are listed beside, whole.
//!
//! ```text
//! 0       1      2..10   10..14  14..16   then, 10 bytes each      then
//! form    width  base    unit    patches  place (2), number (8)    one field of `width` bits a number, padded to a byte
//! ```
//!
//! All big-endian. `form`: bit 7, differences; the other bits belong to the caller. With 64 bits the base is 0, and a field is
//! the number as it stands.

/// What stands before patches and fields.
const HEAD: usize = 16;
/// What a number costs that is listed beside.
const PATCH: usize = 10;
/// Numbers that one sequence may hold: places are two bytes.
pub(crate) const NUMBERS_MAX: usize = 10_000;
/// The bit of `form` that says: differences.
const DIFFERENCES: u8 = 0x80;
/// Beyond this many bits, fields are numbers as they stand.
const WIDTH_MAX: u32 = 62;

/// Bytes that are no packed numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("packed numbers are damaged: {0}")]
pub(crate) struct Damaged(pub(crate) &'static str);

/// How one sequence is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Layout {
    width: u32,
    base: i64,
    unit: u32,
    /// The highest number that has a field.
    top: i64,
    patches: usize,
}

impl Layout {
    fn bytes(&self, numbers: usize) -> usize {
        HEAD + self.patches * PATCH + (numbers * self.width as usize).div_ceil(8)
    }

    /// The one that needs the fewest bytes: it leaves out as many of the lowest and highest numbers as pays.
    fn of(numbers: &[i64], sorted: &mut Vec<i64>) -> Self {
        sort(numbers, sorted);
        let mut best: Option<(usize, Self)> = None;
        // Divisions are dear: what all have in common is found once, and what only those inside have, for the best alone.
        let unit = common_unit(sorted);
        let mut without = 0;
        loop {
            let kept = sorted.len() - without;
            if kept == 0 || without > sorted.len() / 4 + 1 {
                break;
            }
            let narrowest = (0..=without).min_by_key(|at| sorted[at + kept - 1].abs_diff(sorted[*at]));
            let at = narrowest.unwrap_or_default();
            let mut layout = Self::between(sorted[at], sorted[at + kept - 1], unit);
            if layout.width < 64 {
                layout.patches = sorted.partition_point(|n| *n < layout.base)
                    + (sorted.len() - sorted.partition_point(|n| *n <= layout.top));
            }
            let bytes = layout.bytes(numbers.len());
            if best.as_ref().is_none_or(|(least, _)| bytes < *least) {
                best = Some((bytes, layout));
            }
            if layout.width == 0 {
                break;
            }
            without = if without < 4 { without + 1 } else { without * 2 };
        }
        let whole = Self { width: 64, base: 0, unit: 1, top: i64::MAX, patches: 0 };
        let Some((_, best)) = best else { return whole };
        if best.patches == 0 {
            return best;
        }
        let inside = sorted.partition_point(|n| *n < best.base)..sorted.partition_point(|n| *n <= best.top);
        let unit = common_unit(&sorted[inside]);
        Self { patches: best.patches, ..Self::between(best.base, best.top, unit) }
    }

    /// For numbers between these two, which are so many units above the lower one.
    fn between(base: i64, top: i64, unit: u32) -> Self {
        let range = top.abs_diff(base);
        if u64::BITS - range.leading_zeros() > WIDTH_MAX {
            return Self { width: 64, base: 0, unit: 1, top: i64::MAX, patches: 0 };
        }
        let width = u64::BITS - (range / u64::from(unit)).leading_zeros();
        Self { width, base, unit, top, patches: 0 }
    }

    const fn has_field(&self, number: i64) -> bool {
        self.width == 64 || (number >= self.base && number <= self.top)
    }

    fn write(&self, form: u8, numbers: &[i64]) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.bytes(numbers.len()));
        #[expect(clippy::cast_possible_truncation, reason = "at most 64, and at most NUMBERS_MAX")]
        let (width, patches) = (self.width as u8, self.patches as u16);
        out.extend_from_slice(&[form, width]);
        out.extend_from_slice(&self.base.to_be_bytes());
        out.extend_from_slice(&self.unit.to_be_bytes());
        out.extend_from_slice(&patches.to_be_bytes());
        if self.patches > 0 {
            for (place, number) in numbers.iter().enumerate().filter(|(_, n)| !self.has_field(**n)) {
                #[expect(clippy::cast_possible_truncation, reason = "at most NUMBERS_MAX")]
                out.extend_from_slice(&(place as u16).to_be_bytes());
                out.extend_from_slice(&number.to_be_bytes());
            }
        }
        if self.width == 0 {
            return out;
        }
        let mut fields = Fields { out, pending: 0, held: 0 };
        let unit = u64::from(self.unit);
        for number in numbers {
            let above = number.wrapping_sub(self.base).cast_unsigned();
            let field = match (self.has_field(*number), unit) {
                (false, _) => 0,
                (true, 1) => above,
                (true, unit) => above / unit,
            };
            fields.push(field, self.width);
        }
        fields.finish()
    }
}

/// Fills `sorted` with the numbers in ascending order. Most lie so close together that counting how often each is there is faster
/// than comparing them.
fn sort(numbers: &[i64], sorted: &mut Vec<i64>) {
    sorted.clear();
    let (Some(least), Some(most)) = (numbers.iter().min(), numbers.iter().max()) else { return };
    let range = usize::try_from(most.abs_diff(*least)).unwrap_or(usize::MAX);
    if range > 4 * numbers.len() || numbers.is_sorted() {
        sorted.extend_from_slice(numbers);
        sorted.sort_unstable();
        return;
    }
    let mut times = vec![0_u16; range + 1];
    for number in numbers {
        // At most NUMBERS_MAX, which a u16 holds, and below the range, which a usize does.
        times[number.abs_diff(*least) as usize] += 1;
    }
    for (number, times) in (*least..).zip(times) {
        sorted.extend(std::iter::repeat_n(number, usize::from(times)));
    }
}

/// What divides the distances between these ascending numbers, if it fits.
fn common_unit(sorted: &[i64]) -> u32 {
    let mut unit = 0;
    for pair in sorted.windows(2) {
        let distance = pair[1].abs_diff(pair[0]);
        // Most are 0 or the same, and a division is dear.
        if distance == 0 || distance == unit {
            continue;
        }
        unit = common_divisor(distance, unit);
        if unit == 1 {
            break;
        }
    }
    u32::try_from(unit.max(1)).unwrap_or(1)
}

fn common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// Bits on their way into bytes, the highest first.
struct Fields {
    out: Vec<u8>,
    pending: u128,
    held: u32,
}

impl Fields {
    fn push(&mut self, field: u64, width: u32) {
        self.pending = (self.pending << width) | u128::from(field);
        self.held += width;
        while self.held >= 8 {
            self.held -= 8;
            #[expect(clippy::cast_possible_truncation, reason = "the byte that is complete")]
            self.out.push((self.pending >> self.held) as u8);
        }
    }

    fn finish(mut self) -> Vec<u8> {
        if self.held > 0 {
            #[expect(clippy::cast_possible_truncation, reason = "the last bits, moved up to a byte")]
            self.out.push((self.pending << (8 - self.held)) as u8);
        }
        self.out
    }
}

/// Packs at most [`NUMBERS_MAX`] numbers; `form` is the caller's, below 128.
pub(crate) fn pack(form: u8, numbers: &[i64]) -> Vec<u8> {
    let mut scratch = Vec::new();
    let plain = Layout::of(numbers, &mut scratch);
    let differences = differences(numbers);
    if let Some(differences) = &differences {
        let layout = Layout::of(differences, &mut scratch);
        if layout.bytes(numbers.len()) < plain.bytes(numbers.len()) {
            return layout.write(form | DIFFERENCES, differences);
        }
    }
    plain.write(form, numbers)
}

/// Each number less the one before it, the first as it is; `None` where that does not fit.
fn differences(numbers: &[i64]) -> Option<Vec<i64>> {
    let mut before = 0_i64;
    let difference = |number: &i64| {
        let difference = number.checked_sub(before)?;
        before = *number;
        Some(difference)
    };
    numbers.iter().map(difference).collect()
}

/// The caller's part of the form.
pub(crate) fn form(packed: &[u8]) -> Result<u8, Damaged> {
    packed.first().map(|form| form & !DIFFERENCES).ok_or(Damaged("empty"))
}

/// The numbers again, `count` of them.
///
/// # Errors
/// The bytes are shorter or longer than they say, or name a place or width that cannot be.
pub(crate) fn unpack(packed: &[u8], count: usize) -> Result<Vec<i64>, Damaged> {
    let (head, rest) = packed.split_first_chunk::<HEAD>().ok_or(Damaged("cut off in the head"))?;
    let width = usize::from(head[1]);
    if width > 64 {
        return Err(Damaged("fields of more than 64 bits"));
    }
    let base = i64::from_be_bytes([head[2], head[3], head[4], head[5], head[6], head[7], head[8], head[9]]);
    let unit = i64::from(u32::from_be_bytes([head[10], head[11], head[12], head[13]]));
    let patches = usize::from(u16::from_be_bytes([head[14], head[15]]));
    if count > NUMBERS_MAX {
        return Err(Damaged("more numbers than a sequence holds"));
    }
    if rest.len() != patches * PATCH + (count * width).div_ceil(8) {
        return Err(Damaged("another length than the head says"));
    }
    let (patched, fields) = rest.split_at(patches * PATCH);
    let mut numbers = Vec::with_capacity(count);
    let (mut pending, mut held, mut bytes) = (0_u128, 0_usize, fields.iter());
    for _ in 0..count {
        while held < width {
            let byte = bytes.next().ok_or(Damaged("cut off in the fields"))?;
            pending = (pending << 8) | u128::from(*byte);
            held += 8;
        }
        held -= width;
        #[expect(clippy::cast_possible_truncation, reason = "at most 64 bits are left of it")]
        let field = (pending >> held) as u64;
        pending &= (1_u128 << held) - 1;
        numbers.push(base.wrapping_add(field.cast_signed().wrapping_mul(unit)));
    }
    for patch in patched.chunks_exact(PATCH) {
        let place = usize::from(u16::from_be_bytes([patch[0], patch[1]]));
        let number = numbers.get_mut(place).ok_or(Damaged("a place beyond the end"))?;
        *number = patch[2..].iter().fold(0, |number, byte| (number << 8) | i64::from(*byte));
    }
    if head[0] & DIFFERENCES != 0 {
        let mut sum = 0_i64;
        for number in &mut numbers {
            sum = sum.wrapping_add(*number);
            *number = sum;
        }
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn there_and_back(numbers: &[i64]) -> usize {
        let packed = pack(3, numbers);
        assert_eq!(form(&packed).unwrap(), 3);
        assert_eq!(unpack(&packed, numbers.len()).unwrap(), numbers);
        packed.len()
    }

    #[test]
    fn what_never_changes_and_what_grows_evenly_costs_no_field() {
        assert_eq!(there_and_back(&[7; 1_440]), HEAD);
        let times: Vec<i64> = (0..1_440).map(|n| 1_763_700_000_000 + n * 60_000).collect();
        assert_eq!(there_and_back(&times), HEAD + PATCH);
    }

    #[test]
    fn a_gap_costs_one_patch() {
        let mut times: Vec<i64> = (0..1_440).map(|n| 1_763_700_000_000 + n * 60_000).collect();
        times.drain(500..700);
        assert_eq!(there_and_back(&times), HEAD + 2 * PATCH);
    }

    #[test]
    fn numbers_that_lie_close_take_the_bits_of_their_range() {
        let tenths: Vec<i64> = (0..800).map(|n| 35 + (n * n * 7919 / 13) % 16).collect();
        assert_eq!(there_and_back(&tenths), HEAD + 400);
        let pages: Vec<i64> = tenths.iter().map(|n| n * 4_096).collect();
        assert_eq!(there_and_back(&pages), HEAD + 400);
    }

    #[test]
    fn extremes_and_single_numbers_come_back() {
        for numbers in [
            vec![i64::MIN, i64::MAX, 0, -1],
            vec![i64::MIN],
            vec![i64::MAX; 3],
            vec![],
            vec![0, i64::MAX, 0, i64::MAX],
        ] {
            there_and_back(&numbers);
        }
    }

    #[test]
    fn damage_is_named() {
        let packed = pack(0, &[1, 5, 2, 9, 4]);
        assert_eq!(unpack(&packed[..7], 5), Err(Damaged("cut off in the head")));
        assert_eq!(unpack(&packed[..packed.len() - 1], 5), Err(Damaged("another length than the head says")));
        assert_eq!(unpack(&packed, 60), Err(Damaged("another length than the head says")));
        let mut wide = packed.clone();
        wide[1] = 65;
        assert_eq!(unpack(&wide, 5), Err(Damaged("fields of more than 64 bits")));
        let times: Vec<i64> = (0..99).map(|n| 1_000_000 + n * 60).collect();
        let mut times = pack(0, &times);
        times[HEAD + 1] = 99;
        assert_eq!(unpack(&times, 99), Err(Damaged("a place beyond the end")));
    }

    proptest! {
        #[test]
        fn any_numbers_come_back(numbers in prop::collection::vec(any::<i64>(), 0..200)) {
            there_and_back(&numbers);
        }

        #[test]
        fn walks_with_jumps_come_back(
            start in -1_000_000_i64..1_000_000, unit in 1_i64..5_000,
            steps in prop::collection::vec(prop_oneof![9 => -20_i64..20, 1 => any::<i32>().prop_map(i64::from)], 1..400),
        ) {
            let mut number = start;
            let numbers: Vec<i64> = steps.iter().map(|step| { number += step * unit; number }).collect();
            there_and_back(&numbers);
        }

        #[test]
        fn no_bytes_are_read_past_their_end(packed in prop::collection::vec(any::<u8>(), 0..80), count in 0_usize..300) {
            let _ = unpack(&packed, count);
        }
    }
}
